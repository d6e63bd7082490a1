// SPDX-License-Identifier: MPL-2.0

package tokens

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestParseScopes(t *testing.T) {
	for _, items := range [][]string{
		{"openid", "AdobeID", "firefly_api"},
		{"openid,AdobeID,firefly_api"},
		{"openid, AdobeID\n firefly_api,"},
		{" openid ", "", ",", "AdobeID", "openid firefly_api AdobeID"},
	} {
		scopes, err := ParseScopes(items)
		require.NoError(t, err)
		require.Equal(t, []string{"openid", "AdobeID", "firefly_api"}, scopes)
	}
	scopes, err := ParseScopes([]string{"adobeid AdobeID"})
	require.NoError(t, err)
	require.Equal(t, []string{"adobeid", "AdobeID"}, scopes, "IMS heeds case")
}

func TestScopesThatCannotBe(t *testing.T) {
	many := make([]string, MaxScopes+1)
	for i := range many {
		many[i] = fmt.Sprint("scope", i)
	}
	_, err := ParseScopes(many[:MaxScopes])
	require.NoError(t, err)
	for _, row := range []struct {
		items []string
		says  string
	}{
		{nil, "at least one"},
		{[]string{" , "}, "at least one"},
		{many, "too many"},
		{[]string{strings.Repeat("a", maxScope+1)}, "257 bytes"},
		{[]string{"a\x00b"}, `"a\x00b"`},
		{[]string{"öpenid"}, `"\u00f6penid"`},
		{[]string{`"openid"`}, "no scope has"},
	} {
		_, err := ParseScopes(row.items)
		require.ErrorContains(t, err, "scopes: ")
		require.ErrorContains(t, err, row.says)
	}
}
