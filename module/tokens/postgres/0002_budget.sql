-- +goose Up
-- How much may be spent with the token, in millionths; 0: not limited.
ALTER TABLE token ADD COLUMN budget BIGINT NOT NULL DEFAULT 0;
