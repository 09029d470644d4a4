package backup

import (
	"bytes"
	"fmt"
	"strings"

	"filippo.io/age"

	"gatehouse/outcome"
	"gatehouse/secret"
)

// Lock says for whom an archive is encrypted. The zero Lock is for nobody, and nothing is written with it.
type Lock struct{ recipients []age.Recipient }

// NewLock makes a lock for recipients as age writes them (age1…), or for a passphrase, not for both: age refuses that too,
// because whoever guesses the passphrase could forge what the recipients trust.
func NewLock(recipients []string, passphrase secret.Text) (l Lock, err error) {
	switch {
	case len(recipients) == 0 && passphrase.IsZero():
		return l, outcome.Invalid.From(errNoRecipient, "a backup is written for somebody who can open it: name a recipient or a passphrase file")
	case len(recipients) > 0 && !passphrase.IsZero():
		return l, outcome.Invalid.Because("a backup is for recipients or for a passphrase, not for both")
	case !passphrase.IsZero():
		if err := goodPassphrase(passphrase); err != nil {
			return l, err
		}
		r, err := age.NewScryptRecipient(passphrase.Reveal())
		if err != nil {
			return l, fmt.Errorf("taking the passphrase: %w", err)
		}
		return Lock{[]age.Recipient{r}}, nil
	}
	for i, text := range recipients {
		// What is wrong is not repeated: it may be the secret key, in the wrong place.
		r, err := age.ParseRecipients(strings.NewReader(text))
		if err != nil || len(r) != 1 || strings.ContainsAny(text, "\r\n") {
			return Lock{}, outcome.Invalid.Because("recipient %d is not a public key of age, as age1…", i+1)
		}
		l.recipients = append(l.recipients, r...)
	}
	return l, nil
}

// minPassphrase is how many bytes a passphrase has at least: an archive can be tried at leisure.
const minPassphrase = 16

func goodPassphrase(p secret.Text) error {
	if len(p.Reveal()) < minPassphrase {
		return outcome.Invalid.Because("the passphrase has fewer than %d characters: whoever gets the backup can try all short ones", minPassphrase)
	}
	return nil
}

// Opener opens archives.
type Opener struct{ identities []age.Identity }

// NewOpener takes the text of an identity file, as age-keygen or gatehouse backup-key writes it, or a passphrase.
func NewOpener(identities, passphrase secret.Text) (Opener, error) {
	switch {
	case identities.IsZero() == passphrase.IsZero():
		return Opener{}, outcome.Invalid.Because("a backup is opened with an identity file or with a passphrase file: name one of them")
	case !passphrase.IsZero():
		i, err := age.NewScryptIdentity(passphrase.Reveal())
		if err != nil {
			return Opener{}, fmt.Errorf("taking the passphrase: %w", err)
		}
		return Opener{[]age.Identity{i}}, nil
	}
	text := []byte(identities.Reveal())
	defer clear(text)
	found, err := age.ParseIdentities(bytes.NewReader(text))
	if err != nil || len(found) == 0 { // age's own error can quote the key
		return Opener{}, outcome.Invalid.Because("the identity file holds no secret key of age, as AGE-SECRET-KEY-1…")
	}
	return Opener{found}, nil
}

// NewIdentity makes a key pair: the text of an identity file, and the recipient.
func NewIdentity() (file secret.Text, recipient string, err error) {
	i, err := age.GenerateX25519Identity()
	if err != nil {
		return secret.Text{}, "", fmt.Errorf("making a key: %w", err)
	}
	recipient = i.Recipient().String()
	return secret.New("# public key: " + recipient + "\n" + i.String() + "\n"), recipient, nil
}
