"""One file a table: the model, and verbs named after what they are for.

No function here reads or writes without the organization that it acts for (the named exception
is the overdue index, which the presence sweep reads for all of them).
"""
