-- Ops whose end is not known, by node: asked for each node that a listing no longer names.
CREATE INDEX queue_op_unsure ON queue_op (node) WHERE state = 'done';
