// SPDX-License-Identifier: MPL-2.0

package rotation

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/adobeims/vault-plugin-secrets-adobeims/console"
	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/advice"
)

// What a run that cannot go on tells the operator.

// ErrUnderWay is the cause of the advice about a rotation that goes on although
// the answer to its request is due.
var ErrUnderWay = errors.New("the rotation goes on")

// ErrChanged is the cause of the advice about a config that is another by now
// than the one that was rotated.
var ErrChanged = errors.New("the config was changed meanwhile")

func underWay(name string) error {
	return advice.New("rotating the client secret of config/%s takes longer than an answer may, and goes on in the background. client_secret_set_time and rotation_error tell how it ended; if it did not end well, rotating again finishes it. To look",
		name).Run("vault read %sconfig/%s", advice.Mount, name).Because(ErrUnderWay)
}

func changed(name string) error {
	return advice.New("config/%s was changed while its client secret was being rotated, so the rotation was not gone on with. Rotate again", name).
		Run("vault write -f %sconfig/%s/rotate", advice.Mount, name).Because(ErrChanged)
}

func missing(name string) error {
	return advice.Missing("config %q does not exist. To list those that do", name).Run("vault list %sconfig", advice.Mount)
}

func (s state) tainted() error {
	return advice.New("the mount is being removed or moved: no rotation of config/%s begins until that is over", s.Name)
}

func (s state) stillListed(uuid string) error {
	return advice.New("the Developer Console still lists the client secret %s, which was just removed. Rotate again in a few minutes", uuid).
		Run("vault write -f %sconfig/%s/rotate", advice.Mount, s.Name)
}

func (s state) noRoom() error {
	return advice.New("the credential of config/%s has %d client secrets already, and this engine did not create the other one (%s): if nobody needs it, remove it in the Developer Console. %sThen rotate again",
		s.Name, len(s.Listing.Secrets), describe(s.Listing.Secrets, s.Config.UUID), s.nothingChanged()).
		Run("vault write -f %sconfig/%s/rotate", advice.Mount, s.Name)
}

func (s state) currentNotListed() error {
	return advice.New("the Developer Console does not list the client secret %s of config/%s, but: %s. %sWrite the uuid of the one in use",
		s.Config.UUID, s.Name, describe(s.Listing.Secrets, ""), s.nothingChanged()).
		Run("%s", s.writeUUID(s.onlyListed()))
}

func (s state) currentNotKnown() error {
	return advice.New("the Developer Console lists %d client secrets (%s), and which one config/%s uses is not known: remove the other one there, if nobody needs it, or write the uuid of the one in use. %sTo write it",
		len(s.Listing.Secrets), describe(s.Listing.Secrets, ""), s.Name, s.nothingChanged()).
		Run("%s", s.writeUUID(""))
}

func (s state) currentMayBe(uuid string) error {
	return advice.New("the client secret %s is due for removal in the Developer Console, but could be the very one that config/%s uses. %sWrite the uuid of the one in use",
		uuid, s.Name, s.nothingChanged()).
		Run("%s", s.writeUUID(""))
}

func (s state) currentRefused() error {
	return advice.New("IMS refuses the current client secret of config/%s, and tokens are minted with another that a rotation left. No secret was removed. Write the right one", s.Name).
		Run("vault write %sconfig/%s client_secret=@secret.txt", advice.Mount, s.Name)
}

func (s state) lostNotTold(found []console.ClientSecret) error {
	return advice.New("a rotation of config/%s was interrupted, and which of these client secrets it added cannot be told: %s. Remove the one that nobody knows in the Developer Console",
		s.Name, describe(found, ""))
}

func (s state) pendingNotTold() error {
	return advice.New("a rotation of config/%s added a client secret, but which one it is in the Developer Console is not known (listed: %s). Remove the one there that neither this engine nor anybody else created",
		s.Name, describe(s.Listing.Secrets, ""))
}

func (s state) pendingNotListed() error {
	return advice.New("the new client secret of config/%s works, but the Developer Console does not list it yet, so the old one stays in use. It is looked for again in the background", s.Name)
}

func (s state) notProven(cause error) error {
	name := "without a uuid"
	if uuid := s.Config.Pending.UUID; uuid != "" {
		name = uuid
	}
	return fmt.Errorf("the new client secret %s is not proven yet, so the old one stays in use; proving it is tried again in the background: %w", name, cause)
}

func (s state) writeUUID(uuid string) string {
	if uuid == "" {
		uuid = "..."
	}
	return fmt.Sprintf("vault write %sconfig/%s client_secret_uuid=%s", advice.Mount, s.Name, uuid)
}

// onlyListed is the uuid of the one secret that can be meant, or "".
func (s state) onlyListed() string {
	if len(s.Listing.Secrets) == 1 {
		return s.Listing.Secrets[0].UUID
	}
	return ""
}

func (s state) nothingChanged() string {
	if len(s.Removed) > 0 {
		return ""
	}
	return "Nothing was changed. "
}

// describe names the secrets that are listed beside one.
func describe(secrets []console.ClientSecret, beside string) string {
	var texts []string
	for _, s := range secrets {
		switch {
		case s.UUID == beside:
		case s.Created.IsZero():
			texts = append(texts, s.UUID)
		default:
			texts = append(texts, s.UUID+" created at "+timestamp(s.Created))
		}
	}
	if len(texts) == 0 {
		return "none"
	}
	return strings.Join(texts, ", ")
}

func timestamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }
