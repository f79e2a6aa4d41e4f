/* The least that can be done with a datagram: sends back what came, in batches, and looks at nothing. `echo ADDRESS` prints its port. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

enum { BATCH = 32, BYTES = 2048 };

int main(int argc, char **argv) {
    int fd = socket(AF_INET, SOCK_DGRAM, 0), room = 4 << 20;
    struct sockaddr_in own = {.sin_family = AF_INET};
    socklen_t size = sizeof own;
    if (argc != 2 || inet_pton(AF_INET, argv[1], &own.sin_addr) != 1 || bind(fd, (void *)&own, size) != 0) return 1;
    if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof room) != 0) setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof room);
    if (setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &room, sizeof room) != 0) setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &room, sizeof room);
    getsockname(fd, (void *)&own, &size);
    printf("%d\n", ntohs(own.sin_port));
    fflush(stdout);
    static char bytes[BATCH][BYTES];
    static struct sockaddr_in from[BATCH];
    struct iovec io[BATCH];
    struct mmsghdr all[BATCH];
    for (;;) {
        for (int i = 0; i < BATCH; i++) {
            io[i] = (struct iovec){bytes[i], BYTES};
            memset(&all[i], 0, sizeof all[i]);
            all[i].msg_hdr.msg_name = &from[i];
            all[i].msg_hdr.msg_namelen = sizeof from[i];
            all[i].msg_hdr.msg_iov = &io[i];
            all[i].msg_hdr.msg_iovlen = 1;
        }
        int got = recvmmsg(fd, all, BATCH, MSG_WAITFORONE, NULL);
        for (int i = 0; i < got; i++) io[i].iov_len = all[i].msg_len;
        for (int sent = 0; sent < got;) {
            int n = sendmmsg(fd, all + sent, got - sent, 0);
            if (n < 1) break;
            sent += n;
        }
    }
}
