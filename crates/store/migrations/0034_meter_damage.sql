-- damaged: events of the past that cannot be read and were passed over.
ALTER TABLE meter_backfills ADD COLUMN damaged BIGINT NOT NULL DEFAULT 0;
