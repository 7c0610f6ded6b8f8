// SPDX-License-Identifier: Apache-2.0

package registries

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"github.com/fairlead-go/fairlead/internal/servers"
)

// consulVariable says where there is a Consul agent.
const consulVariable = "CONSUL_HTTP_ADDR"

// startConsul starts a Consul agent in its development mode, and returns its address.
func startConsul(ctx context.Context) (*server, string, error) {
	path, err := servers.Find(Consul)
	if err != nil {
		return nil, "", fmt.Errorf("registries: %s is not set, and there is no agent to start: %w", consulVariable, err)
	}
	ports, err := freePorts(ctx, 3)
	if err != nil {
		return nil, "", err
	}
	s, err := newServer(Consul, path)
	if err != nil {
		return nil, "", err
	}
	address := fmt.Sprintf("127.0.0.1:%d", ports[0])
	s.args = []string{
		"agent", "-dev", "-bind=127.0.0.1", "-node=shop", "-log-level=error",
		fmt.Sprintf("-http-port=%d", ports[0]), fmt.Sprintf("-server-port=%d", ports[1]), fmt.Sprintf("-serf-lan-port=%d", ports[2]),
		"-serf-wan-port=-1", "-dns-port=-1", "-grpc-port=-1", "-grpc-tls-port=-1",
		"-hcl=disable_update_check=true performance { raft_multiplier = 1 }",
	}
	s.ready = func(ctx context.Context) error { return consulReady(ctx, "http://"+address) }
	if err := s.start(ctx); err != nil {
		return nil, "", errors.Join(err, s.close())
	}
	return s, address, nil
}

// consulReady returns nil if an agent has a leader, and itself in its catalog.
func consulReady(ctx context.Context, base string) error {
	var leader string
	if err := getJSON(ctx, base+"/v1/status/leader", &leader); err != nil || leader == "" {
		return errors.Join(errors.New("no leader"), err)
	}
	var nodes []any
	if err := getJSON(ctx, base+"/v1/catalog/nodes", &nodes); err != nil || len(nodes) == 0 {
		return errors.Join(errors.New("no nodes"), err)
	}
	return nil
}

func getJSON(ctx context.Context, url string, v any) error {
	resp, err := get(ctx, url)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		return errors.New(resp.Status)
	}
	return json.NewDecoder(resp.Body).Decode(v)
}
