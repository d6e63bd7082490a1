// SPDX-License-Identifier: MPL-2.0

package vaulttest

import (
	"errors"
	"fmt"
	"testing"

	"github.com/hashicorp/vault/api"
)

// Cluster is a raft cluster of servers.
type Cluster struct {
	Nodes []*Server
}

// StartCluster starts three servers as one cluster and mounts the plugin at
// Mount.
func StartCluster(t testing.TB, options ...Options) *Cluster {
	t.Helper()
	first := newServer(t, "node-1", options)
	first.initialize(t)
	first.Unseal(t)
	first.WaitActive(t)
	first.Write(t, "sys/storage/raft/autopilot/configuration", Data{"server_stabilization_time": "200ms"})
	c := &Cluster{Nodes: []*Server{first}}
	for i := 2; i <= 3; i++ {
		c.join(t, newServer(t, fmt.Sprintf("node-%d", i), options))
	}
	c.waitVoters(t)
	first.mountPlugin(t)
	c.waitMounts(t)
	return c
}

// waitMounts waits until every node answers at the mount: standbys that serve reads
// themselves hear of it a little later.
func (c *Cluster) waitMounts(t testing.TB) {
	t.Helper()
	for _, node := range c.Nodes {
		client := node.Client(t)
		WaitFor(t, startTimeout, "the mount on "+node.Addr, func() error {
			answer, err := client.Logical().Read(Mount + "info")
			if err == nil && answer == nil {
				err = errors.New("there is none")
			}
			return err
		})
	}
}

// waitVoters waits until every node may become the leader: a new one has no
// vote at first.
func (c *Cluster) waitVoters(t testing.TB) {
	t.Helper()
	for _, node := range c.Nodes {
		node.WaitHealthy(t)
	}
	client := c.Nodes[0].Client(t)
	WaitFor(t, startTimeout, "all nodes to become voters", func() error {
		state, err := client.Sys().RaftAutopilotState()
		if err != nil {
			return err
		}
		if len(state.Voters) < len(c.Nodes) {
			return fmt.Errorf("voters are %v", state.Voters)
		}
		return nil
	})
}

func (c *Cluster) join(t testing.TB, node *Server) {
	t.Helper()
	first := c.Nodes[0]
	node.RootToken, node.unsealKey = first.RootToken, first.unsealKey
	_, err := node.Client(t).Sys().RaftJoin(&api.RaftJoinRequest{LeaderAPIAddr: first.Addr})
	check(t, err, "join the cluster")
	node.Unseal(t)
	c.Nodes = append(c.Nodes, node)
}

// Leader waits until one of the nodes is active, and returns it.
func (c *Cluster) Leader(t testing.TB) *Server {
	t.Helper()
	return c.leaderOtherThan(t, nil)
}

// NewLeader waits until a node other than the old leader is active, and returns
// it.
func (c *Cluster) NewLeader(t testing.TB, old *Server) *Server {
	t.Helper()
	return c.leaderOtherThan(t, old)
}

func (c *Cluster) leaderOtherThan(t testing.TB, old *Server) *Server {
	t.Helper()
	return c.waitNode(t, "a leader", func(node *Server, standby bool) bool { return !standby && node != old })
}

// Standby waits until one of the nodes is a standby, and returns it.
func (c *Cluster) Standby(t testing.TB) *Server {
	t.Helper()
	c.Leader(t) // there is none while all of them are standbys
	return c.waitNode(t, "a standby", func(_ *Server, standby bool) bool { return standby })
}

// waitNode waits until a node that is up satisfies the condition.
func (c *Cluster) waitNode(t testing.TB, what string, satisfies func(node *Server, standby bool) bool) (found *Server) {
	t.Helper()
	WaitFor(t, startTimeout, what, func() error {
		for _, node := range c.Nodes {
			if node.current().ended() {
				continue
			}
			if standby, err := node.health(); err == nil && satisfies(node, standby) {
				found = node
				return nil
			}
		}
		return errors.New("no node is")
	})
	return found
}

// StepDown makes the leader give up its place, waits for the next one and
// returns it.
func (c *Cluster) StepDown(t testing.TB) *Server {
	t.Helper()
	old := c.Leader(t)
	check(t, old.Client(t).Sys().StepDown(), "step down")
	return c.NewLeader(t, old)
}
