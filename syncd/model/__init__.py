"""The words of syncd as values: no I/O, no clock, no chance. All else imports these; they import nothing of syncd."""
