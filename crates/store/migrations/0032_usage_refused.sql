-- The latest requests and messages of the topic of usage that were passed over because they are wrong. place: where
-- the message lies, `topic/partition/offset`. It is no tenant's: what cannot be read names none.
CREATE TABLE usage_refused (
  place TEXT NOT NULL,
  reason TEXT NOT NULL,
  refused_us BIGINT NOT NULL,
  PRIMARY KEY (place, reason)
);
