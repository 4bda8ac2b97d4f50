-- Rows that no tree has any more disagree with nothing: without an index of their own, one that was not forgotten at once
-- (a stop, or a time when nothing is planned) would never be found again.
CREATE INDEX node_gone ON node (l_presence) WHERE s_presence = 'absent' AND r_presence = 'absent' AND l_presence = 'absent';

-- Nobody asks what R has below a directory that it no longer has (the hub removes only what is empty, and a full listing
-- tells the rest): each directory that went at the remote left a row here, for ever.
DROP TRIGGER gone_r_update;
DROP TRIGGER gone_r_delete;
DROP TRIGGER gone_r_child_insert;
DROP TRIGGER gone_r_child_update;
DELETE FROM gone_directory WHERE tree = 'r';
