package sandbox

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"os"
	"os/user"
	"strconv"
)

// Users that no file of users names are taken from the range in which systemd makes its own for one service each.
const (
	firstUser = 61184
	lastUser  = 65519
)

// account is the user that a program runs as.
type account struct {
	uid, gid int
	other    bool // than the gateway's
}

// accountFor finds the user of a program by its rules: a name, a number, same, or nothing, which is a user of its own
// where we are root.
func accountFor(name, wish string) (account, error) {
	same := account{uid: os.Geteuid(), gid: os.Getegid()}
	if wish == "same" || wish == "" && same.uid != 0 {
		return same, nil
	}
	a := account{other: true}
	var err error
	if wish == "" {
		a.uid, err = own(name)
		a.gid = a.uid
	} else {
		a.uid, a.gid, err = find(wish)
	}
	switch {
	case err != nil:
		return a, err
	case a.uid == same.uid:
		return same, nil
	case same.uid != 0:
		return a, fmt.Errorf("sandbox.user: %s is another user than Gatehouse runs as, which only root may take; leave it out", wish)
	case a.uid == 0:
		return a, fmt.Errorf("sandbox.user: write same for root itself")
	}
	return a, nil
}

// own is a number for a program's name, always the same one unless a user of that number is made.
func own(name string) (int, error) {
	hash := sha256.Sum256([]byte(name))
	begin := int(binary.BigEndian.Uint32(hash[:]) % (lastUser - firstUser + 1))
	for i := range lastUser - firstUser + 1 {
		uid := firstUser + (begin+i)%(lastUser-firstUser+1)
		if _, err := user.LookupId(strconv.Itoa(uid)); err != nil {
			return uid, nil
		}
	}
	return 0, fmt.Errorf("all numbers from %d to %d are users already: choose one with sandbox.user", firstUser, lastUser)
}

func find(wish string) (uid, gid int, err error) {
	if uid, err := strconv.ParseUint(wish, 10, 31); err == nil {
		gid := uid
		if u, err := user.LookupId(wish); err == nil {
			if g, err := strconv.ParseUint(u.Gid, 10, 31); err == nil {
				gid = g
			}
		}
		return int(uid), int(gid), nil
	}
	u, err := user.Lookup(wish)
	if err != nil {
		return 0, 0, fmt.Errorf("sandbox.user: there is no user %s", wish)
	}
	if uid, err = strconv.Atoi(u.Uid); err != nil {
		return 0, 0, fmt.Errorf("sandbox.user: %s has the number %s", wish, u.Uid)
	}
	if gid, err = strconv.Atoi(u.Gid); err != nil {
		return 0, 0, fmt.Errorf("sandbox.user: %s has the group %s", wish, u.Gid)
	}
	return uid, gid, nil
}

// String names the user.
func (a account) String() string {
	if !a.other {
		return "the same user"
	}
	return "user " + strconv.Itoa(a.uid)
}

// give makes the user the owner of paths.
func (a account) give(paths ...string) error {
	if !a.other {
		return nil
	}
	for _, path := range paths {
		if err := os.Lchown(path, a.uid, a.gid); err != nil {
			return err
		}
	}
	return nil
}

func (a account) flags() []string {
	if !a.other {
		return nil
	}
	return []string{"--uid", strconv.Itoa(a.uid), "--gid", strconv.Itoa(a.gid)}
}
