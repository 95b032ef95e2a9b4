-- Usage by hour and day beside that by minute, and sums without keys (usage/cubes.rs says which answers what).
CREATE TABLE usage_hour (
  start_us BIGINT NOT NULL,
  key BIGINT NOT NULL,
  service BIGINT NOT NULL,
  code BIGINT NOT NULL,
  consumer BIGINT NOT NULL,
  project BIGINT NOT NULL,
  tenant BIGINT NOT NULL,
  requests BIGINT NOT NULL,
  units BIGINT NOT NULL,
  latency_us BIGINT NOT NULL,
  upstream_us BIGINT NOT NULL,
  bytes_in BIGINT NOT NULL,
  bytes_out BIGINT NOT NULL,
  PRIMARY KEY (start_us, key, service, code, consumer, project, tenant)
) /*WITHOUT_ROWID*/;
CREATE INDEX usage_hour_by_key ON usage_hour (key, start_us);
CREATE TABLE usage_day (
  start_us BIGINT NOT NULL,
  key BIGINT NOT NULL,
  service BIGINT NOT NULL,
  code BIGINT NOT NULL,
  consumer BIGINT NOT NULL,
  project BIGINT NOT NULL,
  tenant BIGINT NOT NULL,
  requests BIGINT NOT NULL,
  units BIGINT NOT NULL,
  latency_us BIGINT NOT NULL,
  upstream_us BIGINT NOT NULL,
  bytes_in BIGINT NOT NULL,
  bytes_out BIGINT NOT NULL,
  PRIMARY KEY (start_us, key, service, code, consumer, project, tenant)
) /*WITHOUT_ROWID*/;
CREATE INDEX usage_day_by_key ON usage_day (key, start_us);
CREATE INDEX usage_day_by_consumer ON usage_day (consumer, start_us);
CREATE TABLE usage_consumer_hour (
  tenant BIGINT NOT NULL,
  start_us BIGINT NOT NULL,
  consumer BIGINT NOT NULL,
  project BIGINT NOT NULL,
  service BIGINT NOT NULL,
  code BIGINT NOT NULL,
  requests BIGINT NOT NULL,
  units BIGINT NOT NULL,
  latency_us BIGINT NOT NULL,
  upstream_us BIGINT NOT NULL,
  bytes_in BIGINT NOT NULL,
  bytes_out BIGINT NOT NULL,
  PRIMARY KEY (tenant, start_us, consumer, project, service, code)
) /*WITHOUT_ROWID*/;
CREATE INDEX usage_consumer_hour_by_time ON usage_consumer_hour (start_us);
CREATE INDEX usage_consumer_hour_by_consumer ON usage_consumer_hour (consumer, start_us);
CREATE TABLE usage_consumer_day (
  tenant BIGINT NOT NULL,
  start_us BIGINT NOT NULL,
  consumer BIGINT NOT NULL,
  project BIGINT NOT NULL,
  service BIGINT NOT NULL,
  code BIGINT NOT NULL,
  requests BIGINT NOT NULL,
  units BIGINT NOT NULL,
  latency_us BIGINT NOT NULL,
  upstream_us BIGINT NOT NULL,
  bytes_in BIGINT NOT NULL,
  bytes_out BIGINT NOT NULL,
  PRIMARY KEY (tenant, start_us, consumer, project, service, code)
) /*WITHOUT_ROWID*/;
CREATE INDEX usage_consumer_day_by_time ON usage_consumer_day (start_us);
CREATE INDEX usage_consumer_day_by_consumer ON usage_consumer_day (consumer, start_us);
CREATE TABLE usage_service_minute (
  tenant BIGINT NOT NULL,
  start_us BIGINT NOT NULL,
  service BIGINT NOT NULL,
  code BIGINT NOT NULL,
  project BIGINT NOT NULL,
  requests BIGINT NOT NULL,
  units BIGINT NOT NULL,
  latency_us BIGINT NOT NULL,
  upstream_us BIGINT NOT NULL,
  bytes_in BIGINT NOT NULL,
  bytes_out BIGINT NOT NULL,
  PRIMARY KEY (tenant, start_us, service, code, project)
) /*WITHOUT_ROWID*/;
CREATE INDEX usage_service_minute_by_time ON usage_service_minute (start_us);
CREATE TABLE usage_service_hour (
  tenant BIGINT NOT NULL,
  start_us BIGINT NOT NULL,
  service BIGINT NOT NULL,
  code BIGINT NOT NULL,
  project BIGINT NOT NULL,
  requests BIGINT NOT NULL,
  units BIGINT NOT NULL,
  latency_us BIGINT NOT NULL,
  upstream_us BIGINT NOT NULL,
  bytes_in BIGINT NOT NULL,
  bytes_out BIGINT NOT NULL,
  PRIMARY KEY (tenant, start_us, service, code, project)
) /*WITHOUT_ROWID*/;
CREATE INDEX usage_service_hour_by_time ON usage_service_hour (start_us);
CREATE TABLE usage_service_day (
  tenant BIGINT NOT NULL,
  start_us BIGINT NOT NULL,
  service BIGINT NOT NULL,
  code BIGINT NOT NULL,
  project BIGINT NOT NULL,
  requests BIGINT NOT NULL,
  units BIGINT NOT NULL,
  latency_us BIGINT NOT NULL,
  upstream_us BIGINT NOT NULL,
  bytes_in BIGINT NOT NULL,
  bytes_out BIGINT NOT NULL,
  PRIMARY KEY (tenant, start_us, service, code, project)
) /*WITHOUT_ROWID*/;
CREATE INDEX usage_service_day_by_time ON usage_service_day (start_us);
CREATE TABLE usage_latency_hour (
  start_us BIGINT NOT NULL,
  service BIGINT NOT NULL,
  tenant BIGINT NOT NULL,
  bucket BIGINT NOT NULL,
  requests BIGINT NOT NULL,
  PRIMARY KEY (start_us, service, tenant, bucket)
) /*WITHOUT_ROWID*/;
CREATE INDEX usage_latency_hour_by_service ON usage_latency_hour (service, start_us);
INSERT INTO usage_latency_hour (start_us, service, tenant, bucket, requests)
  SELECT minute_us / 3600000000 * 3600000000, service, tenant, bucket, CAST(SUM(requests) AS BIGINT)
  FROM usage_latency GROUP BY 1, 2, 3, 4;
CREATE TABLE usage_latency_day (
  start_us BIGINT NOT NULL,
  service BIGINT NOT NULL,
  tenant BIGINT NOT NULL,
  bucket BIGINT NOT NULL,
  requests BIGINT NOT NULL,
  PRIMARY KEY (start_us, service, tenant, bucket)
) /*WITHOUT_ROWID*/;
CREATE INDEX usage_latency_day_by_service ON usage_latency_day (service, start_us);
INSERT INTO usage_latency_day (start_us, service, tenant, bucket, requests)
  SELECT minute_us / 86400000000 * 86400000000, service, tenant, bucket, CAST(SUM(requests) AS BIGINT)
  FROM usage_latency GROUP BY 1, 2, 3, 4;

-- How far minutes are folded into hours and days: those whose (minute_us, key) comes before this place.
-- Sums by service hold what is before it, and all from service_from_us on. What began before the other
-- two moments may be forgotten.
CREATE TABLE usage_folds (
  id BIGINT NOT NULL PRIMARY KEY,
  minute_us BIGINT NOT NULL,
  key BIGINT NOT NULL,
  service_from_us BIGINT NOT NULL,
  minutes_from_us BIGINT NOT NULL,
  hours_from_us BIGINT NOT NULL
);
INSERT INTO usage_folds (id, minute_us, key, service_from_us, minutes_from_us, hours_from_us)
  SELECT 1, 0, -9223372036854775807 - 1, COALESCE(MAX(minute_us) + 60000000, 0), 0, 0 FROM usage_minute;
