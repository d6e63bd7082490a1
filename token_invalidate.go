// SPDX-License-Identifier: MPL-2.0

package adobeims

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/adobeims/vault-plugin-secrets-adobeims/ims"
)

const (
	// invalidationTimeout limits what a request to invalidate tokens takes.
	invalidationTimeout = 60 * time.Second

	// recordTimeout limits putting on record what came of it.
	recordTimeout = 10 * time.Second
)

// kill invalidates every outstanding token of a role at IMS. From when it
// begins, none of them is handed out, here or, unless storage fails, after a
// restart. The error is a *killError if IMS did not invalidate some; those stay
// on record.
func (s *tokenStore) kill(ctx context.Context, name string) error {
	ctx, cancel := context.WithTimeout(ctx, invalidationTimeout)
	defer cancel()
	st := s.of(name)

	// 1. Give a mint under way up, and be the only one to work on the record.
	st.mu.Lock()
	err := s.load(ctx, st, nil)
	st.abandon()
	st.failure = nil
	st.mu.Unlock()
	if err != nil {
		return err
	}
	if err := st.lockWork(ctx); err != nil {
		return err
	}
	defer st.unlockWork()

	// 2. Condemn the tokens, in storage first. If storage fails, they are
	//    invalidated all the same; what step 4 answers tells.
	outstanding := st.known().living(s.clock.Now()).condemned()
	if err := s.save(ctx, st, outstanding); len(outstanding.Tokens) == 0 {
		return err
	}

	// 3. Invalidate them at IMS.
	failed := s.invalidateAll(ctx, outstanding.Tokens)

	// 4. Keep those on record that are still alive.
	var left record
	for _, f := range failed {
		left.Tokens = append(left.Tokens, f.token)
	}
	saving, cancel := context.WithTimeout(context.WithoutCancel(ctx), recordTimeout)
	defer cancel()
	if err := s.save(saving, st, left); err != nil {
		return err
	}
	if len(failed) < len(outstanding.Tokens) {
		s.event(ctx, "token-invalidate", "token/"+name, "role", name, "tokens", strconv.Itoa(len(outstanding.Tokens)-len(failed)))
	}
	if len(failed) > 0 {
		return &killError{role: name, failed: failed, of: len(outstanding.Tokens)}
	}
	return nil
}

// outstanding is how many of the role's tokens have neither expired nor been
// invalidated. The role need not exist: one that was deleted can have left some.
func (s *tokenStore) outstanding(ctx context.Context, name string) (int, error) {
	stored, err := loadRecord(ctx, s.storage, name)
	return len(stored.living(s.clock.Now()).Tokens), err
}

type failedInvalidation struct {
	token *mintedToken
	err   error
}

func (s *tokenStore) invalidateAll(ctx context.Context, tokens []*mintedToken) []failedInvalidation {
	results := make([]error, len(tokens))
	var group sync.WaitGroup
	for i, token := range tokens {
		group.Go(func() {
			results[i] = contain(s.logger, func() error { return s.invalidate(ctx, token) })
		})
	}
	group.Wait()
	var failed []failedInvalidation
	for i, err := range results {
		if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
			err = &ims.Error{Kind: ims.Unreachable, Op: "token invalidation", Err: errors.New("no answer in time")}
		}
		if err != nil {
			failed = append(failed, failedInvalidation{tokens[i], err})
		}
	}
	return failed
}

// invalidate ends a token at IMS. A token that has expired, that IMS does not
// know, or whose config is gone is ended already.
func (s *tokenStore) invalidate(ctx context.Context, t *mintedToken) error {
	if !t.Expires.After(s.clock.Now()) {
		return nil
	}
	c, err := s.config(ctx, t.Config)
	if err != nil {
		return err
	}
	if c == nil {
		s.logger.Warn("a token cannot be invalidated because its config is gone; it lives until it expires",
			"config", t.Config, "expire_time", timestamp(t.Expires))
		return nil
	}
	// The config may have been written since the token was minted. The token
	// goes to the IMS it came from, and only its own client's secret with it.
	switch {
	case t.IMSURL != c.IMSURL:
		var client *ims.Client
		if client, err = s.clients.forURL(c, t.IMSURL); err == nil {
			err = client.Invalidate(ctx, ims.Credential{ClientID: t.ClientID}, t.AccessToken)
		}
	case t.ClientID != c.ClientID:
		err = c.client.Invalidate(ctx, ims.Credential{ClientID: t.ClientID}, t.AccessToken)
	default:
		err = s.withCredential(ctx, t.Config, c, func(credential ims.Credential) error {
			return c.client.Invalidate(ctx, credential, t.AccessToken)
		})
	}
	var refused *ims.Error
	if errors.As(err, &refused) && refused.NoSuchToken() {
		s.logger.Info("IMS does not know a token that was to be invalidated; it counts as invalidated", "config", t.Config, "answer", refused)
		return nil
	}
	return err
}

// killError names the tokens that IMS did not invalidate.
type killError struct {
	role   string
	failed []failedInvalidation
	of     int
}

func (e *killError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "of %d outstanding tokens of role %q, %d could not be invalidated: ", e.of, e.role, len(e.failed))
	for i, f := range e.failed {
		if i > 0 {
			b.WriteString("; ")
		}
		fmt.Fprintf(&b, "%s: %s", f.token, f.err)
	}
	fmt.Fprintf(&b, ". What is left is handed to nobody any more: delete token/%s again to try again", e.role)
	return b.String()
}

// status is that of the first failure.
func (e *killError) status() int {
	return cmp.Or(adobeStatus(e.failed[0].err), http.StatusInternalServerError)
}
