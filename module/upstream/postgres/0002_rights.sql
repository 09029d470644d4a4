-- +goose Up
-- rights is the hash of the definition for which the rights were given that hold for accepted as well, because a person
-- said so; empty: the rights are those for accepted itself.
ALTER TABLE tool ADD COLUMN rights TEXT NOT NULL DEFAULT '';
