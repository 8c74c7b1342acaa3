"""From what was measured to how many replicas a demand needs, and what they cost. All pure."""
