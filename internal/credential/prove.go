// SPDX-License-Identifier: MPL-2.0

package credential

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/adobeims/vault-plugin-secrets-adobeims/ims"
	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/advice"
	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/field"
	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/secret"
)

const (
	// proofScope is asked for when a credential is proven. Any would do: IMS
	// looks at the credential before it looks at the scope.
	proofScope = "openid"

	// madeUpCode is an authorization code that IMS never gave.
	madeUpCode secret.Secret = "a-code-to-prove-the-client"

	// proofTimeout limits a proof. Vault's command line waits for 60 seconds.
	proofTimeout = 50 * time.Second
)

// codeRefusals are the codes with which IMS refuses an authorization code,
// having accepted the client.
var codeRefusals = []string{"invalid_grant", "access_denied", "invalid_code"}

// Proof is what proving a credential brought.
type Proof struct {
	// Secret is the first of the candidates that IMS accepts.
	Secret secret.Secret

	// AccountID is the technical account's, by the token's own claims; it may
	// be empty.
	AccountID string
}

// Unproven says that IMS or the Developer Console did not say whether they
// accept a credential.
type Unproven struct {
	// Err is why: an *ims.Error, from which the status follows.
	Err error

	service string
}

// Error implements error.
func (e *Unproven) Error() string {
	hint := ""
	switch kind := kindOf(e.Err); {
	case kind == ims.Refused, kind == ims.Malformed && !strings.Contains(e.Err.Error(), "HTTPS_PROXY"):
		hint = fmt.Sprintf("Something else may have answered in the place of %s: check the URL, and HTTPS_PROXY in the environment of the Vault server. ", e.service)
	case kind == ims.Unreachable:
		hint = "Check the URL, and whether the Vault server needs HTTPS_PROXY in its environment. "
	}
	return fmt.Sprintf("%s. Nothing was stored. %sTo store the config without asking %s, add verify=false", e.Err, hint, e.service)
}

// Unwrap returns the cause.
func (e *Unproven) Unwrap() error { return e.Err }

func kindOf(err error) ims.Kind {
	var failed *ims.Error
	if errors.As(err, &failed) {
		return failed.Kind
	}
	return ""
}

// Prove asks IMS which of the candidates it accepts as the credential's client
// secret; of none, the current one is asked about. Nothing is stored, and no
// lock is taken.
//
// What IMS refuses is an *advice.Error, and what leaves it open an *Unproven.
// Both say that nothing was stored. A token that was obtained for it is ended.
func (s *Store) Prove(ctx context.Context, c *Credential, candidates []secret.Secret) (*Proof, error) {
	if len(candidates) == 0 {
		candidates = []secret.Secret{c.Current}
	}
	s.pool.EndQuiet(c.IMSURL, c.ClientID) // an operator asks, with other values
	ctx, cancel := context.WithTimeout(ctx, proofTimeout)
	defer cancel()

	credentials := make([]ims.Credential, 0, len(candidates))
	for _, candidate := range candidates {
		credentials = append(credentials, c.With(candidate))
	}
	proof := &Proof{}
	used, err := s.try(c, credentials, func(client *ims.Client, credential ims.Credential) (err error) {
		if c.Type == WebApp {
			return proveWebApp(ctx, client, c, credential)
		}
		proof.AccountID, err = s.proveClient(ctx, client, c, credential)
		return err
	})
	switch {
	case err == nil:
		proof.Secret = used.ClientSecret
		return proof, nil
	case ims.RefusedByCode(err):
		return nil, refusedProof(c, err)
	}
	return nil, unproven("IMS", err)
}

// proveClient obtains a token of the client itself.
func (s *Store) proveClient(ctx context.Context, client *ims.Client, c *Credential, credential ims.Credential) (accountID string, err error) {
	token, err := client.ClientCredentials(ctx, credential, []string{proofScope})
	if token != nil {
		s.endUnneeded(ctx, c, func(ctx context.Context) error { return client.Invalidate(ctx, credential, token.AccessToken) })
	}
	switch {
	case ims.RefusedWith(err, ims.CodeInvalidScope):
		return "", nil // the credential was accepted before
	case err != nil:
		return "", err
	}
	accountID, err = field.Text("technical_account_id", token.UserID, maxTechnicalAccount)
	if err != nil {
		accountID = "" // no reason to refuse a credential
	}
	return accountID, nil
}

// proveWebApp proves a credential that has no tokens of its own: IMS refuses a
// code that it never gave, but not before it has accepted the client.
func proveWebApp(ctx context.Context, client *ims.Client, c *Credential, credential ims.Credential) error {
	_, err := client.Exchange(ctx, credential, c.RedirectURI, madeUpCode, ims.NewVerifier())
	var failed *ims.Error
	switch {
	case err == nil:
		return &ims.Error{Service: "IMS", Op: "token request", Kind: ims.Malformed,
			Err: errors.New("a code that IMS never gave was accepted; check the URL and HTTPS_PROXY")}
	case errors.As(err, &failed) && failed.Kind == ims.Refused && failed.Status >= 400 && slices.Contains(codeRefusals, failed.Code):
		return nil
	}
	return err
}

// refusedProof says what to compare.
func refusedProof(c *Credential, refusal error) error {
	var problem string
	switch {
	case ims.ClientUnknown(refusal):
		problem = fmt.Sprintf("client_id: IMS at %s knows no client of that ID: compare it with the credential's page in the Developer Console", c.IMSURL)
	case ims.RefusedWith(refusal, ims.CodeUnauthorizedClient):
		problem = fmt.Sprintf("credential_type: IMS does not let this client_id obtain tokens as %s does: compare the type with the credential's page in the Developer Console", c.Type)
	default:
		problem = fmt.Sprintf("client_secret: IMS does not accept this client_id with this client_secret as %s: compare them with the credential's page in the Developer Console", c.Type)
	}
	return advice.New("%s. Nothing was stored. The answer was: %s", problem, refusal).Because(refusal)
}

// unproven words what left it open whether a credential is accepted.
func unproven(service string, err error) error {
	switch {
	case errors.Is(err, context.Canceled):
		return err
	case errors.Is(err, context.DeadlineExceeded):
		err = &ims.Error{Service: service, Op: "proof of the credential", Kind: ims.Unreachable, Err: errors.New("no answer in time")}
	case kindOf(err) == "":
		return err
	}
	return &Unproven{Err: err, service: service}
}

// endTimeout limits ending a token that nobody has.
const endTimeout = 5 * time.Second

// endUnneeded ends a token that was obtained for the engine's own use. Nobody
// has it, so that it is not worth failing for.
func (s *Store) endUnneeded(ctx context.Context, c *Credential, end func(context.Context) error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), min(c.RequestTimeout, endTimeout))
	defer cancel()
	if err := end(ims.WithoutRetries(ctx)); err != nil {
		s.host.Log.Warn("a token that the engine obtained for its own use could not be ended; nobody has it, and it expires by itself",
			"client_id", c.ClientID, "error", err)
	}
}
