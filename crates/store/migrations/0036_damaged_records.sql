-- damaged_records: how many of `damaged` are records; the others are requests, which other meters count.
ALTER TABLE meter_backfills ADD COLUMN damaged_records BIGINT NOT NULL DEFAULT 0;
