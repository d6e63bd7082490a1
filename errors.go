// SPDX-License-Identifier: MPL-2.0

package adobeims

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/hashicorp/vault/sdk/logical"

	"github.com/adobeims/vault-plugin-secrets-adobeims/console"
	"github.com/adobeims/vault-plugin-secrets-adobeims/ims"
)

// refuse answers 400 with what the operator can do about it.
func refuse(format string, args ...any) (*logical.Response, error) {
	return logical.ErrorResponse(format, args...), nil
}

// missingError is a role or config that does not exist.
type missingError struct{ text string }

func (e *missingError) Error() string { return e.text }

// operatorError is what an operator has to put right first, in words for them.
type operatorError struct{ text string }

func (e *operatorError) Error() string { return e.text }

func missingRole(name string) error {
	return &missingError{fmt.Sprintf("role %q does not exist; roles/ lists those that do", name)}
}

// mintError is the failed mint that a reader is told about.
type mintError struct {
	failure *failure
	now     time.Time
}

func (e *mintError) Error() string {
	f := e.failure
	var unauthorized *authorizationError
	if errors.As(f.err, &unauthorized) {
		return f.err.Error()
	}
	text := f.err.Error() + ". "
	var failed *ims.Error
	if errors.As(f.err, &failed) {
		if advice := adviceFor(failed, f.role.Config); advice != "" {
			text += advice + " "
		}
	}
	return text + fmt.Sprintf("IMS is asked again from %s (in %s)", timestamp(f.retryAt), inWords(max(f.retryAt.Sub(e.now), 0)))
}

func (e *mintError) Unwrap() error { return e.failure.err }

// respond turns an error into the answer to a request: 400 for what the operator
// can fix, 429 for throttling, 502 or 503 for a failure of Adobe's. Any other
// error goes to Vault as it is: Vault tells some by their very text.
func respond(err error) (*logical.Response, error) {
	var missing *missingError
	if errors.As(err, &missing) {
		return refuse("%s", missing)
	}
	var unauthorized *authorizationError
	if errors.As(err, &unauthorized) {
		return refuse("%s", err)
	}
	var kill *killError
	if errors.As(err, &kill) {
		return nil, logical.CodedError(kill.status(), kill.Error())
	}
	var operator *operatorError
	if errors.As(err, &operator) {
		return refuse("%s", err)
	}
	status := adobeStatus(err)
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return nil, logical.CodedError(http.StatusServiceUnavailable, "Adobe has not answered in time: try again in a while")
	case status == 0:
		return nil, err
	case status == http.StatusBadRequest:
		return refuse("%s", err)
	}
	return nil, logical.CodedError(status, err.Error())
}

// adobeStatus is the HTTP status that passes a failure of Adobe's services on;
// 0 if the error is none.
func adobeStatus(err error) int {
	var byIMS *ims.Error
	if errors.As(err, &byIMS) {
		return statusFor(byIMS.Kind, byIMS.Status)
	}
	var byConsole *console.Error
	if errors.As(err, &byConsole) {
		return statusFor(byConsole.Kind, byConsole.Status)
	}
	return 0
}

func statusFor(kind ims.Kind, status int) int {
	switch {
	case kind == ims.Refused:
		return http.StatusBadRequest
	case kind == ims.Throttled:
		return http.StatusTooManyRequests
	case status == http.StatusServiceUnavailable:
		return http.StatusServiceUnavailable
	}
	return http.StatusBadGateway
}

// adviceFor says what to do about a refusal, or nothing.
func adviceFor(failed *ims.Error, config string) string {
	switch failed.Code {
	case ims.CodeInvalidClient:
		return fmt.Sprintf("The client ID or the client secret in config/%s is wrong, or the secret was removed in the Developer Console: write the right ones to config/%s.", config, config)
	case ims.CodeInvalidScope:
		return "IMS does not grant one of the role's scopes to this credential: compare them with the Scopes tab of the credential in the Developer Console; case counts."
	case ims.CodeUnauthorizedClient:
		return fmt.Sprintf("The credential in config/%s may not use the client_credentials grant: it must be an OAuth Server-to-Server credential.", config)
	}
	return ""
}
