package kubelet

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"time"

	"k8s.io/cri-streaming/pkg/streaming/remotecommand"
)

// executor runs programs in one container for kubectl exec.
type executor struct{ container *container }

// ExecInContainer runs the program to its end. There are no terminals: with a tty the outputs are one, and that is all.
func (e *executor) ExecInContainer(
	ctx context.Context, _, _, _ string, argv []string, in io.Reader, out, errs io.WriteCloser, tty bool,
	_ <-chan remotecommand.TerminalSize, _ time.Duration,
) error {
	to := streams{in: in}
	if out != nil {
		to.out = out
	}

	if errs != nil {
		to.err = errs
	} else if tty {
		to.err = to.out
	}

	return e.container.exec(ctx, argv, to)
}

// forwarder connects streams to one Pod's ports.
type forwarder struct{ pod *pod }

// PortForward copies between the stream and a connection to the port on the Pod's own loopback, as elsewhere.
func (f *forwarder) PortForward(ctx context.Context, _, _ string, port int32, stream io.ReadWriteCloser) error {
	defer stream.Close() //nolint:errcheck // its end is what we are here for

	var connection net.Conn

	err := f.pod.network().inside(func() (err error) {
		connection, err = dialHere("127.0.0.1:" + strconv.Itoa(int(port)))

		return err
	})
	if err != nil {
		return fmt.Errorf("connect to port %d of pod %s: %w", port, f.pod.name, err)
	}

	defer context.AfterFunc(ctx, func() { _ = connection.Close() })()
	defer connection.Close() //nolint:errcheck // copied already

	return pipe(connection, stream)
}

// pipe copies both ways until the server has no more to say.
func pipe(connection net.Conn, stream io.ReadWriter) error {
	go func() {
		_, _ = io.Copy(connection, stream) // its end is the client's, which the server is told

		if half, ok := connection.(*net.TCPConn); ok {
			_ = half.CloseWrite()
		}
	}()

	if _, err := io.Copy(stream, connection); err != nil && !errors.Is(err, net.ErrClosed) {
		return fmt.Errorf("forward: %w", err)
	}

	return nil
}
