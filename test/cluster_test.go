// SPDX-License-Identifier: MPL-2.0

package test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/adobeims/vault-plugin-secrets-adobeims/internal/vaulttest"
)

// Three times the leader is killed while others read through the nodes that are left: every leader has
// the one token that was minted.
func TestLeaderIsKilledAgainAndAgain(t *testing.T) {
	ims := startAdobe(t, time.Hour)
	cluster := vaulttest.StartCluster(t)
	leader := cluster.Leader(t)
	ims.configure(t, leader)
	token := readToken(t, leader)
	mints := ims.mints()

	leaders := map[*vaulttest.Server]bool{leader: true}
	for round := range 3 {
		killed, survivors := leader, others(cluster, leader)
		readers := []*reader{
			ims.startReader(t, tokenPath, 50*time.Millisecond, survivors...),
			ims.startReader(t, tokenPath, 50*time.Millisecond, survivors...),
		}
		time.Sleep(300 * time.Millisecond)
		noLeader := during(func() {
			killed.Kill()
			leader = cluster.NewLeader(t, killed)
			for _, node := range survivors {
				waitFollowing(t, node, leader)
			}
		})
		leaders[leader] = true
		time.Sleep(500 * time.Millisecond)
		for _, reader := range readers {
			reads := reader.end()
			requireGood(t, reads, noLeader)
			require.Equal(t, []string{token}, tokensOf(t, reads), "round %d", round+1)
			t.Logf("round %d: no leader for %s; %d reads, %d of them failed meanwhile",
				round+1, noLeader.to.Sub(noLeader.from), len(reads), failedDuring(reads, noLeader))
		}
		killed.Restart(t)
		waitFollowing(t, killed, leader)
		require.Equal(t, token, readToken(t, killed), "through the node that was killed")
	}
	require.Greater(t, len(leaders), 1)
	require.Equal(t, mints, ims.mints(), "IMS was not asked again")
}

// What was written through one node is there at once, whichever node is asked, also where standbys serve
// reads themselves.
func TestReadsFollowWritesOnEveryNode(t *testing.T) {
	ims := startAdobe(t, time.Hour)
	cluster := vaulttest.StartCluster(t)
	ims.configure(t, cluster.Leader(t))
	for i, writer := range cluster.Nodes {
		for j, reader := range cluster.Nodes {
			for _, leased := range []bool{true, false} {
				name := fmt.Sprintf("role-%d-%d-%t", i, j, leased)
				writer.Write(t, vaulttest.Mount+"roles/"+name, vaulttest.Data{"scopes": "openid", "leased": leased, "verify": false})
				require.NotEmpty(t, reader.Read(t, vaulttest.Mount+"token/"+name).Data["access_token"])
				require.Equal(t, leased, reader.Read(t, vaulttest.Mount+"roles/"+name).Data["leased"])
				require.Contains(t, reader.List(t, vaulttest.Mount+"roles"), name)
			}
		}
	}
}

func others(c *vaulttest.Cluster, node *vaulttest.Server) []*vaulttest.Server {
	var found []*vaulttest.Server
	for _, other := range c.Nodes {
		if other != node {
			found = append(found, other)
		}
	}
	return found
}

// waitFollowing waits until a node knows the leader.
func waitFollowing(t *testing.T, node, leader *vaulttest.Server) {
	t.Helper()
	client := node.Client(t)
	vaulttest.WaitFor(t, 30*time.Second, "a node to follow the new leader", func() error {
		answer, err := client.Sys().Leader()
		if err == nil && answer.LeaderAddress != leader.Addr {
			err = fmt.Errorf("it follows %q", answer.LeaderAddress)
		}
		return err
	})
}
