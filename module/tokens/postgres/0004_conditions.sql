-- +goose Up
-- What calls of some tools must fulfil, as JSON: tool -> condition.
ALTER TABLE token ADD COLUMN conditions TEXT NOT NULL DEFAULT '{}';
