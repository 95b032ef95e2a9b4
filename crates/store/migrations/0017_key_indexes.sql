-- Searching and counting look at every key of a project: from the index, not from the rows. It is one
-- index, since planners that may choose between two of them sort all keys for a page of fifty.
DROP INDEX keys_by_project;
CREATE INDEX keys_by_project ON keys (project, created_us, id, state, policy, expires_us, last4, name);
