// SPDX-License-Identifier: Apache-2.0

package health

import (
	"context"
	"fmt"
	"net"
)

// TCP returns a check that connects to host:port and hangs up. It says that somebody
// listens there, which a process that is stuck does, too: ask for more wherever there is
// more to ask. It fails on an address that is none.
func TCP(addr string) (Check, error) {
	host, port, err := net.SplitHostPort(addr)
	if err == nil && (host == "" || port == "" || port == "0") {
		err = fmt.Errorf("address %q: must have a host and a port", addr)
	}
	if err != nil {
		return nil, fmt.Errorf("health: TCP: %w", err)
	}
	return func(ctx context.Context) error {
		var d net.Dialer
		conn, err := d.DialContext(ctx, "tcp", addr)
		if err != nil {
			return err
		}
		return conn.Close()
	}, nil
}
