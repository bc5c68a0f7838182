"""Side effects, called by workflows: classes that receive what they need."""
