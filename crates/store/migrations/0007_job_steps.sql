-- Those that were lost before there were places to go on from have ended: nobody expects them any more.
UPDATE jobs SET state = 2, error = 'its process ended; start it again for the rest' WHERE state = 0;

-- A job goes on where it was, on whichever node: cursor is where its next step begins.
ALTER TABLE jobs ADD COLUMN cursor TEXT;
CREATE INDEX jobs_running ON jobs (updated_us) WHERE state = 0;

-- What jobs changed. Written in the transaction that changes the key, so that each is there once.
CREATE TABLE job_keys (
  job BIGINT NOT NULL,
  key BIGINT NOT NULL,
  PRIMARY KEY (job, key)
) /*WITHOUT_ROWID*/;
