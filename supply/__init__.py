"""What Halley is made of: the locks read strictly, the environments held against them, and the bill of materials. Standard library only."""
