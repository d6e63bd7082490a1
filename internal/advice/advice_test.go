// SPDX-License-Identifier: MPL-2.0

package advice

import (
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestError(t *testing.T) {
	cause := errors.New("cause")
	for _, row := range []struct {
		err  *Error
		text string
	}{
		{New("%d are too many", 7), "7 are too many"},
		{Field("scopes", "%q is none", "a b"), `scopes: "a b" is none`},
		{Missing("role %q does not exist", "a"), `role "a" does not exist`},
		{
			New("IMS refuses the secret. To write another").Run("vault write %sconfig/%s client_secret=@secret.txt", Mount, "default"),
			"IMS refuses the secret. To write another: vault write <mount>/config/default client_secret=@secret.txt",
		},
		{New("no answer: %v", cause).Because(cause), "no answer: cause"},
	} {
		require.EqualError(t, row.err, row.text)
	}
	require.ErrorIs(t, New("no answer").Because(cause), cause)
	require.NoError(t, New("no cause").Unwrap())
}

func TestIsMissing(t *testing.T) {
	missing := Missing("role %q does not exist", "a")
	require.True(t, IsMissing(missing))
	require.True(t, IsMissing(missing.Run("vault list %sroles", Mount)))
	require.True(t, IsMissing(fmt.Errorf("wrapped: %w", missing)))
	require.False(t, IsMissing(New("does not exist")))
	require.False(t, IsMissing(nil))
}

func TestAt(t *testing.T) {
	text := "vault read " + Mount + "config/a; vault delete " + Mount + "token/b"
	require.Equal(t, "vault read team/adobe/config/a; vault delete team/adobe/token/b", At("team/adobe/", text))
	require.Equal(t, "nothing to put in", At("adobeims/", "nothing to put in"))
}
