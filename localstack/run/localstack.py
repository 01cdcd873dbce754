# Starts LocalStack, given to python -c.
import os

import localstack.utils.run as run
from twisted.internet import endpoints

# It would start its engines in sessions of their own, where they outlive it. run() asks for the system's name to decide
# just that: so they stay in the process group that the supervisor ends.
run.is_linux = run.is_mac_os = lambda: False


# It would listen on every interface, whatever GATEWAY_LISTEN says, and report itself ready when the port is taken.
class Loopback(endpoints.TCP4ServerEndpoint):
    def __init__(self, reactor, port):
        super().__init__(reactor, port, interface="127.0.0.1")

    def listen(self, factory):
        def end(failure):
            failure.printTraceback()
            os._exit(1)

        return super().listen(factory).addErrback(end)


endpoints.TCP4ServerEndpoint = Loopback

from localstack.runtime.main import main

main()
