"""HTTP only: translate, authorise, call, render."""
