"""The caller's side: provider classes behind one small API, and their configuration file."""
