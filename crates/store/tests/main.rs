mod nothing_yet {}
