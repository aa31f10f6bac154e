package door

import (
	"context"
	"crypto/x509"
	"fmt"
	"maps"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// The ConfigMap in which the leading controller says where its door is.
const (
	// ConfigMap is its name; the namespace is the controller's.
	ConfigMap = "serin-controller"
	// Protocol is the version of what is spoken at the door. It changes when an older command line would misunderstand.
	Protocol = "1"

	podKey         = "pod"
	portKey        = "port"
	certificateKey = "certificate"
	protocolKey    = "protocol"

	// announceEvery is how often the announcement is looked after while it leads, announceAgain after a failure.
	announceEvery = 30 * time.Second
	announceAgain = time.Second
)

// ServerName is the name in the door's certificate.
func ServerName(namespace string) string { return ConfigMap + "." + namespace + ".svc" }

// Announcement says where a controller's door is.
type Announcement struct {
	// Pod leads.
	Pod string
	// Port is the door's on the pod's loopback address.
	Port uint16
	// Certificate is the only one to trust there, as PEM.
	Certificate string
}

// Read reads what a ConfigMap says. The error names the key that is not right.
func Read(from *corev1.ConfigMap) (Announcement, error) {
	found := Announcement{Pod: from.Data[podKey], Certificate: from.Data[certificateKey]}

	if spoken := from.Data[protocolKey]; spoken != Protocol {
		return found, fmt.Errorf("ConfigMap %s/%s: protocol is %q, and this serin speaks %q: use the serin of the cluster's version",
			from.Namespace, from.Name, spoken, Protocol)
	}

	port, err := strconv.ParseUint(from.Data[portKey], 10, 16)
	if err != nil || port == 0 {
		return found, fmt.Errorf("ConfigMap %s/%s: port is %q, want a port from 1 to 65535", from.Namespace, from.Name, from.Data[portKey])
	}

	found.Port = uint16(port)

	switch {
	case found.Pod == "":
		return found, fmt.Errorf("ConfigMap %s/%s: pod is empty, want the name of the controller's pod", from.Namespace, from.Name)
	case !x509.NewCertPool().AppendCertsFromPEM([]byte(found.Certificate)):
		return found, fmt.Errorf("ConfigMap %s/%s: certificate is not one in PEM", from.Namespace, from.Name)
	}

	return found, nil
}

// data is the announcement as the ConfigMap has it.
func (a Announcement) data() map[string]string {
	return map[string]string{
		podKey: a.Pod, portKey: strconv.Itoa(int(a.Port)), certificateKey: a.Certificate, protocolKey: Protocol,
	}
}

// announcer keeps the ConfigMap as it should be.
type announcer struct {
	config       *Config
	announcement Announcement
}

func (a announcer) run(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()

	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}

		next := announceEvery

		if err := a.announce(ctx); err != nil && ctx.Err() == nil {
			a.config.Logger.WarnContext(ctx, "the door can't be announced; command lines do not find it", "configMap", ConfigMap, "error", err)

			next = announceAgain
		}

		timer.Reset(next)
	}
}

// announce writes the ConfigMap if it says something else.
func (a announcer) announce(ctx context.Context) error {
	client := a.config.Kubernetes.CoreV1().ConfigMaps(a.config.Namespace)
	want := a.announcement.data()

	found, err := client.Get(ctx, ConfigMap, metav1.GetOptions{})

	switch {
	case apierrors.IsNotFound(err):
		_, err = client.Create(ctx, &corev1.ConfigMap{
			ObjectMeta: metav1.ObjectMeta{
				Name: ConfigMap, Namespace: a.config.Namespace, Labels: map[string]string{"app.kubernetes.io/managed-by": "serin"},
			},
			Data: want,
		}, metav1.CreateOptions{})
	case err == nil && !maps.Equal(found.Data, want):
		found = found.DeepCopy()
		found.Data = want
		_, err = client.Update(ctx, found, metav1.UpdateOptions{})
	}

	if err != nil {
		return fmt.Errorf("announce the door: %w", err)
	}

	return nil
}
