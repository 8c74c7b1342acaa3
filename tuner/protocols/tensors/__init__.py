"""Values of tensors: from files, from options, made up."""
