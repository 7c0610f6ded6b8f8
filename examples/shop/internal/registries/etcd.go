// SPDX-License-Identifier: Apache-2.0

package registries

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"

	"github.com/fairlead-go/fairlead/internal/servers"
)

// etcdVariables say where there is an etcd; the first one that is set counts.
var etcdVariables = []string{"ETCD_ENDPOINTS", "ETCDCTL_ENDPOINTS"}

// startEtcd starts an etcd of one member and returns its endpoint.
func startEtcd(ctx context.Context, say io.Writer) (*server, string, error) {
	path, err := findEtcd(ctx, say)
	if err != nil {
		return nil, "", err
	}
	ports, err := freePorts(ctx, 2)
	if err != nil {
		return nil, "", err
	}
	s, err := newServer(Etcd, path)
	if err != nil {
		return nil, "", err
	}
	client, peer := fmt.Sprintf("http://127.0.0.1:%d", ports[0]), fmt.Sprintf("http://127.0.0.1:%d", ports[1])
	s.args = []string{
		"--name=shop", "--data-dir=" + s.file("data"), "--log-level=error",
		"--unsafe-no-fsync", // nothing of it is kept
		"--listen-client-urls=" + client, "--advertise-client-urls=" + client,
		"--listen-peer-urls=" + peer, "--initial-advertise-peer-urls=" + peer, "--initial-cluster=shop=" + peer,
	}
	s.ready = func(ctx context.Context) error { return etcdReady(ctx, client) }
	if err := s.start(ctx); err != nil {
		return nil, "", errors.Join(err, s.close())
	}
	return s, client, nil
}

// etcdReady returns nil if an etcd takes writes.
func etcdReady(ctx context.Context, base string) error {
	var answer struct{ Health, Reason string }
	if err := getJSON(ctx, base+"/health", &answer); err != nil {
		return err
	}
	if answer.Health != "true" {
		return fmt.Errorf("not healthy: %s", answer.Reason)
	}
	return nil
}

// findEtcd returns the path of etcd, and builds it if there is none.
func findEtcd(ctx context.Context, say io.Writer) (string, error) {
	path, err := servers.Find(Etcd)
	if !errors.Is(err, servers.ErrNotFound) {
		return path, err
	}
	script := buildScript()
	if _, noScript := exec.LookPath(script); noScript != nil || os.Getenv("ETCD_BIN") != "" { // whose path is wrong
		return "", fmt.Errorf("registries: %s is not set, and there is no etcd to start: %w", etcdVariables[0], err)
	}
	_, _ = fmt.Fprintf(say, "there is no etcd on this machine: building one into the user's cache, once, which takes a minute or two (%s etcd)\n", script)
	cmd := exec.CommandContext(ctx, script, Etcd)
	cmd.Stdout, cmd.Stderr = say, say
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("registries: %s etcd: %w", script, err)
	}
	return servers.Find(Etcd)
}

// buildScript returns the path of the script that builds servers: it is where the
// source of this program was.
func buildScript() string {
	_, file, _, _ := runtime.Caller(0)
	return filepath.Join(filepath.Dir(file), "..", "..", "..", "..", "scripts", "servers.sh")
}
