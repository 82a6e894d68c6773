"""The API: takes uploads, answers for their status, and keeps house."""
