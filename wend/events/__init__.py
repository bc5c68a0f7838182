"""Events: what happened to people, stamped where it is stored; clicks are events of one link of one sent message."""
