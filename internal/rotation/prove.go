// SPDX-License-Identifier: MPL-2.0

package rotation

import (
	"context"
	"time"

	"github.com/adobeims/vault-plugin-secrets-adobeims/ims"
)

const (
	// proofScope is asked for when a secret is proven. Any would do: IMS looks at
	// the credential before it looks at the scope.
	proofScope = "openid"

	// endTime limits ending the token that a proof brought.
	endTime = 5 * time.Second
)

// prove asks IMS for a token with the pending secret. That IMS does not accept
// it is no error.
func (r *run) prove(ctx context.Context) error {
	err := r.askWithPending(ctx)
	p := &r.state.Proof
	switch {
	case err == nil, ims.RefusedWith(err, ims.CodeInvalidScope):
		p.Accepted = true
	case ims.RefusedWith(err, ims.CodeInvalidClient):
		p.Refusals++
		p.Err = err
		p.Last = r.host.Clock.Now()
		if p.Refusals == 1 {
			p.First = p.Last
		}
	default:
		return r.state.notProven(err)
	}
	return nil
}

// askWithPending obtains a token with the pending secret, and ends it: nobody
// needs it.
func (r *run) askWithPending(ctx context.Context) error {
	c := r.state.Config
	client, err := r.store.IMS(c)
	if err != nil {
		return err
	}
	pending := c.With(c.Pending.Value)
	token, err := client.ClientCredentials(ctx, pending, []string{proofScope})
	if token == nil {
		return err
	}
	ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), min(c.RequestTimeout, endTime))
	defer cancel()
	if failed := client.Invalidate(ims.WithoutRetries(ending), pending, token.AccessToken); failed != nil {
		r.host.Log.Warn("the token that proved a client secret could not be ended; nobody has it, and it expires by itself", "config", r.name, "error", failed)
	}
	return err
}
