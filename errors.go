// SPDX-License-Identifier: MPL-2.0

package adobeims

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/hashicorp/vault/sdk/logical"

	"github.com/adobeims/vault-plugin-secrets-adobeims/ims"
	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/advice"
	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/authorization"
	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/credential"
	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/tokens"
)

// refuse answers 400 with what the operator can do about it.
func refuse(format string, args ...any) (*logical.Response, error) {
	return logical.ErrorResponse(format, args...), nil
}

// respond turns an error into the answer to a request: 400 for what the operator
// can fix, 429 for throttling, 502 or 503 for a failure of Adobe's. Any other
// error goes to Vault as it is: Vault tells some by their very text.
func respond(err error) (*logical.Response, error) {
	var status int
	text := words(err)
	var fixable *advice.Error
	var full *tokens.FullError
	var crowd *tokens.CrowdError
	var coded logical.HTTPCodedError
	switch {
	case errors.As(err, &coded):
		return nil, coded
	case errors.As(err, &full):
		status = http.StatusBadRequest
	case errors.As(err, &crowd):
		status = http.StatusTooManyRequests
	case errors.Is(err, tokens.ErrSlow), errors.Is(err, tokens.ErrNoAnswer), errors.Is(err, context.DeadlineExceeded):
		status = http.StatusServiceUnavailable
	default:
		status = adobeStatus(err)
		if status == 0 && errors.As(err, &fixable) {
			status = http.StatusBadRequest
		}
	}
	switch status {
	case 0:
		return nil, err
	case http.StatusBadRequest:
		return refuse("%s", text)
	}
	return nil, logical.CodedError(status, text)
}

// words says what an error means for whoever made the request.
func words(err error) string {
	var mint *tokens.MintError
	var kill *tokens.KillError
	var full *tokens.FullError
	var crowd *tokens.CrowdError
	switch {
	case errors.As(err, &mint):
		return mintWords(mint)
	case errors.As(err, &kill):
		return killWords(kill)
	case errors.As(err, &full):
		return fmt.Sprintf("%s: its scopes or its config were changed that often. The first expires at %s. To invalidate them all: vault delete %stoken/%s",
			full, timestamp(full.Until), advice.Mount, full.Role)
	case errors.As(err, &crowd):
		return fmt.Sprintf("%s already: read again in a while", crowd)
	case errors.Is(err, tokens.ErrSlow):
		return fmt.Sprintf("IMS has not answered within %s: read again in a while", inWords(tokens.ReaderLimit))
	case errors.Is(err, context.DeadlineExceeded):
		return "Adobe has not answered in time: try again in a while"
	}
	return err.Error()
}

func mintWords(e *tokens.MintError) string {
	f := e.Failure
	var unauthorized *authorization.Unauthorized
	if errors.As(f.Err, &unauthorized) {
		return f.Err.Error()
	}
	text := f.Err.Error() + ". "
	var failed *ims.Error
	if errors.As(f.Err, &failed) {
		if advice := adviceFor(failed, e.Spec.Config, e.Spec.Name); advice != "" {
			text += advice + " "
		}
	}
	return text + fmt.Sprintf("IMS is asked again from %s (in %s)", timestamp(f.RetryAt), inWords(max(f.RetryAt.Sub(e.Now), 0)))
}

func killWords(e *tokens.KillError) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: ", e)
	for i, f := range e.Failed {
		if i > 0 {
			b.WriteString("; ")
		}
		if i == maxNamed {
			fmt.Fprintf(&b, "and %d more", len(e.Failed)-i)
			break
		}
		fmt.Fprintf(&b, "%s: %s", f.Token, f.Err)
	}
	if ims.RefusedWith(e.Failed[0].Err, ims.CodeInvalidClient) {
		fmt.Fprintf(&b, ". The client secret in config/%s is wrong. To write the right one: vault write %sconfig/%s client_secret=@secret.txt",
			e.Failed[0].Token.Config, advice.Mount, e.Failed[0].Token.Config)
	}
	fmt.Fprintf(&b, ". What is left will not be handed out again, and is tried again in the background. To try now: vault delete %stoken/%s", advice.Mount, e.Role)
	return b.String()
}

// maxNamed is how many tokens an error names.
const maxNamed = 5

// adobeStatus is the HTTP status that passes a failure of Adobe's services on;
// 0 if the error is none.
func adobeStatus(err error) int {
	var kill *tokens.KillError
	if errors.As(err, &kill) {
		return killStatus(kill)
	}
	var failed *ims.Error
	switch {
	case !errors.As(err, &failed):
		return 0
	case failed.Kind == ims.Refused:
		return http.StatusBadRequest
	case failed.Kind == ims.Throttled:
		return http.StatusTooManyRequests
	case failed.Status == http.StatusServiceUnavailable:
		return http.StatusServiceUnavailable
	}
	return http.StatusBadGateway
}

// killStatus is that of the first failure. A refusal to invalidate is a failure of
// Adobe's, since nothing in the request was wrong; but an operator can write the
// client secret that it lacks.
func killStatus(e *tokens.KillError) int {
	first := e.Failed[0].Err
	if errors.Is(first, tokens.ErrNoAnswer) {
		return http.StatusServiceUnavailable
	}
	var unendable *credential.Unendable
	if errors.As(first, &unendable) || ims.RefusedWith(first, ims.CodeInvalidClient) {
		return http.StatusBadRequest
	}
	status := cmp.Or(adobeStatus(first), http.StatusInternalServerError)
	if status == http.StatusBadRequest {
		return http.StatusBadGateway
	}
	return status
}

// adviceFor says what to do about a refusal, or nothing.
func adviceFor(failed *ims.Error, config, role string) string {
	switch failed.Code {
	case ims.CodeInvalidClient:
		return fmt.Sprintf("The client ID or the client secret in config/%s is wrong, or the secret was removed in the Developer Console, or the config comes from a backup older than its last rotation. "+
			"Add a client secret there if need be, then: vault write %sconfig/%s client_secret=@secret.txt.", config, advice.Mount, config)
	case ims.CodeInvalidScope:
		return fmt.Sprintf("IMS does not grant one of the role's scopes to this credential: compare them with the Scopes tab of the credential in the Developer Console; case counts. "+
			"Then: vault write %sroles/%s scopes=... .", advice.Mount, role)
	case ims.CodeUnauthorizedClient:
		return fmt.Sprintf("The credential in config/%s may not use the client_credentials grant: it must be an OAuth Server-to-Server credential.", config)
	}
	return ""
}

// timestamp writes a time as all answers and messages do: RFC 3339, UTC.
func timestamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// inWords writes a duration in whole seconds without its zeros: 48h, not 48h0m0s.
func inWords(d time.Duration) string {
	text := d.Round(time.Second).String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}

func wholeSeconds(d time.Duration) int64 { return int64(d / time.Second) }
