#!/bin/sh
# Before the files go for good: what runs is stopped. The data folder stays.
set -e
if [ "$1" = remove ] && [ -d /run/systemd/system ]; then
	systemctl disable --now gatehouse.service
fi
