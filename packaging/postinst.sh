#!/bin/sh
# After the files are there: the user, and nothing that starts by itself.
set -e
if command -v systemd-sysusers >/dev/null; then
	systemd-sysusers gatehouse.conf
elif ! getent passwd gatehouse >/dev/null; then
	useradd --system --user-group --no-create-home --home-dir /var/lib/gatehouse --shell /usr/sbin/nologin gatehouse
fi
chgrp gatehouse /etc/gatehouse /etc/gatehouse/gatehouse.yaml
if [ -d /run/systemd/system ]; then
	systemctl daemon-reload
	# An upgrade: what runs is the old program until now.
	if [ -n "$2" ]; then systemctl try-restart gatehouse.service; fi
fi
