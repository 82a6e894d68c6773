"""The door: takes uploads, answers for their status, and keeps house."""
