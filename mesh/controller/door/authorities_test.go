package door_test

import (
	"crypto/x509"
	"net"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// A cluster that gets another authority has its new certificates known within a second or so.
func TestAuthoritiesChange(t *testing.T) {
	c := newCluster(t)
	address, announced := openDoor(t, c)
	old := c.authority.issue(t, "bob", x509.ExtKeyUsageClientAuth)

	if _, err := get(t, caller{certificate: &old}.call(t, address, announced)); err != nil {
		t.Fatal(err)
	}

	next := newAuthority(t)

	if _, err := c.CoreV1().ConfigMaps("kube-system").Update(t.Context(), &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Namespace: "kube-system", Name: "extension-apiserver-authentication"},
		Data:       map[string]string{"client-ca-file": next.pem()},
	}, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}

	certificate := next.issue(t, "bob", x509.ExtKeyUsageClientAuth)
	connection := caller{certificate: &certificate}.call(t, address, announced)

	for deadline := time.Now().Add(patience); ; {
		_, err := get(t, connection)
		if err == nil {
			break
		}

		if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}

	if _, err := get(t, caller{certificate: &old}.call(t, address, announced)); err == nil {
		t.Error("the old authority is still believed")
	}
}

// pipeListener accepts nothing, and needs no network.
type pipeListener struct {
	closed chan struct{}
	once   sync.Once
}

func newPipeListener() *pipeListener { return &pipeListener{closed: make(chan struct{})} }

func (l *pipeListener) Accept() (net.Conn, error) {
	<-l.closed

	return nil, net.ErrClosed
}

func (l *pipeListener) Close() error {
	l.once.Do(func() { close(l.closed) })

	return nil
}

func (*pipeListener) Addr() net.Addr {
	return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 9443}
}

// sleepFor is for bubbles of synctest, where time passes at once.
func sleepFor(t *testing.T, seconds int) {
	t.Helper()
	time.Sleep(time.Duration(seconds) * time.Second)
}
