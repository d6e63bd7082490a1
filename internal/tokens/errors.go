// SPDX-License-Identifier: MPL-2.0

package tokens

import (
	"errors"
	"fmt"
	"time"

	"github.com/hashicorp/vault/sdk/logical"
)

// ErrForward is the answer of a node that must not answer. It is Vault's own
// error: Vault passes the request on by its very text.
var ErrForward = logical.ErrReadOnly

// ErrSlow is what a reader is told who has waited for ReaderLimit.
var ErrSlow = errors.New("IMS has not answered in time")

// MintError is the failed mint that a reader is told about.
type MintError struct {
	Failure *Failure
	Spec    Spec
	Now     time.Time
}

// Error implements error.
func (e *MintError) Error() string { return e.Failure.Err.Error() }

// Unwrap returns the cause.
func (e *MintError) Unwrap() error { return e.Failure.Err }

// FullError tells that a role has as many outstanding tokens as go on its record.
type FullError struct {
	Role  string
	Count int
	Until time.Time // when the oldest expires
}

// Error implements error.
func (e *FullError) Error() string {
	return fmt.Sprintf("role %q has %d outstanding tokens, as many as can be kept on record", e.Role, e.Count)
}

// CrowdError tells that too many exclusive tokens of a role are being minted.
type CrowdError struct {
	Role  string
	Count int
}

// Error implements error.
func (e *CrowdError) Error() string {
	return fmt.Sprintf("%d readers of role %q are waiting for tokens of their own", e.Count, e.Role)
}
