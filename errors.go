// SPDX-License-Identifier: MPL-2.0

package adobeims

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
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
	default:
		status = adobeStatus(err)
	}
	switch {
	case status != 0:
	case errors.Is(err, tokens.ErrSlow), errors.Is(err, context.DeadlineExceeded):
		status = http.StatusServiceUnavailable
	case errors.As(err, &fixable):
		status = http.StatusBadRequest
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
	var revoke *authorization.RevokeError
	switch {
	case errors.As(err, &revoke):
		return revoke.Error()
	case errors.As(err, &mint):
		return mintWords(mint)
	case errors.As(err, &kill):
		return killWords(kill)
	case errors.As(err, &full):
		return fmt.Sprintf("%s: its scopes or its config were changed that often. The first expires at %s. To invalidate them all: vault delete %stoken/%s",
			full, advice.Time(full.Until), advice.Mount, full.Role)
	case errors.As(err, &crowd):
		return fmt.Sprintf("%s already: read again in a while", crowd)
	case errors.Is(err, tokens.ErrSlow):
		return fmt.Sprintf("IMS has not answered within %s: read again in a while", advice.Span(tokens.ReaderLimit))
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
	if errors.As(f.Err, &failed) && failed.Kind == ims.Refused {
		if advice := adviceFor(failed, e.Spec.Config, e.Spec.Name); advice != "" {
			text += advice + " "
		}
	}
	return text + fmt.Sprintf("IMS is asked again from %s (in %s)", advice.Time(f.RetryAt), advice.Span(max(f.RetryAt.Sub(e.Now), 0)))
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
	left := slices.DeleteFunc(slices.Clone(e.Failed), func(f tokens.FailedEnd) bool {
		var unendable *credential.Unendable
		return errors.As(f.Err, &unendable)
	})
	if len(left) == 0 {
		b.WriteString(". Nobody gets them any more, and trying again is of no use")
		return b.String()
	}
	if ims.RefusedWith(left[0].Err, ims.CodeInvalidClient) {
		fmt.Fprintf(&b, ". The client secret in config/%s is wrong. To write the right one: vault write %sconfig/%s client_secret=@secret.txt",
			left[0].Token.Config, advice.Mount, left[0].Token.Config)
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
	var revoke *authorization.RevokeError
	switch {
	case errors.As(err, &kill):
		return endingStatus(kill.Failed[0].Err)
	case errors.As(err, &revoke):
		return endingStatus(revoke.Err)
	}
	var failed *ims.Error
	var unproven *credential.Unproven
	switch {
	case !errors.As(err, &failed):
		return 0
	case failed.Kind == ims.Refused && errors.As(err, &unproven):
		return http.StatusBadGateway // in words only: it may not have been Adobe
	case failed.Kind == ims.Refused:
		return http.StatusBadRequest
	case failed.Kind == ims.Throttled:
		return http.StatusTooManyRequests
	case failed.Status == http.StatusServiceUnavailable:
		return http.StatusServiceUnavailable
	}
	return http.StatusBadGateway
}

// endingStatus is that of a failure to end a token. A refusal is a failure of
// Adobe's, since nothing in the request was wrong; but an operator can write the
// client secret that it lacks.
func endingStatus(err error) int {
	var unendable *credential.Unendable
	switch {
	case errors.Is(err, tokens.ErrNoAnswer), errors.Is(err, context.DeadlineExceeded):
		return http.StatusServiceUnavailable
	case errors.As(err, &unendable), ims.RefusedWith(err, ims.CodeInvalidClient):
		return http.StatusBadRequest
	}
	status := cmp.Or(adobeStatus(err), http.StatusInternalServerError)
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
		return fmt.Sprintf("The credential in config/%s may not use the grant of the config's credential_type, which is client_credentials for oauth_server_to_server: compare the type with the credential's page in the Developer Console.", config)
	}
	return ""
}

func wholeSeconds(d time.Duration) int64 { return int64(d / time.Second) }
