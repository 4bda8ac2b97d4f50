-- A person's word on a whole group is one row: it holds at once, however many items there are. The items take it on one
-- after the other, each in the transaction that carries it out, so that those still undecided in a decided group are
-- exactly what is left to do.
ALTER TABLE decision_group ADD COLUMN decision TEXT;
ALTER TABLE decision_group ADD COLUMN decided REAL;
