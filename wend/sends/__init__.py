"""What becomes of sent messages afterwards: what providers tell, what operators settle, what is sent again."""
