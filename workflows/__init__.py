"""Durable code. It drives and decides nothing: decisions are the kernel's, made in activities and recorded."""
