"""The winner as what deploys it: values first, then one pure function for each format."""
