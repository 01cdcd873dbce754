// DynamoDB Local on loopback alone and, with RUNNEL_ADMIN_PORT set, with an admin port for tests of its streams:
//   GET /rollover    closes every open stream shard and opens its child, which AWS does about every four hours
//   GET /dilate/MS   moves the time of the streams on, so that iterators expire and records are trimmed
import com.sun.net.httpserver.HttpServer;
import java.lang.reflect.Field;
import java.net.InetSocketAddress;
import java.util.Map;
import org.eclipse.jetty.server.Connector;
import org.eclipse.jetty.server.Server;
import org.eclipse.jetty.server.ServerConnector;
import software.amazon.dynamodb.services.local.main.ServerRunner;
import software.amazon.dynamodb.services.local.server.AbstractLocalDynamoDBServerHandler;
import software.amazon.dynamodb.services.local.server.DynamoDBProxyServer;
import software.amazon.dynamodb.services.local.server.LocalDynamoDBRequestHandler;
import software.amazon.dynamodb.services.local.shared.access.AmazonDynamoDBLocal;

public class DynamoLocal {
  static Object get(Class<?> c, Object o, String field) throws Exception {
    Field f = c.getDeclaredField(field);
    f.setAccessible(true);
    return f.get(o);
  }

  public static void main(String[] args) throws Exception {
    DynamoDBProxyServer server = ServerRunner.createServerFromCommandLineArgs(args);
    Server jetty = (Server) get(DynamoDBProxyServer.class, server, "server");
    for (Connector c : jetty.getConnectors()) ((ServerConnector) c).setHost("127.0.0.1");
    String port = System.getenv("RUNNEL_ADMIN_PORT");
    if (port != null) admin(server, Integer.parseInt(port));
    server.start();
  }

  static void admin(DynamoDBProxyServer server, int port) throws Exception {
    Object handler = get(DynamoDBProxyServer.class, server, "serverHandler");
    Object primary = get(AbstractLocalDynamoDBServerHandler.class, handler, "primaryHandler");
    @SuppressWarnings("unchecked")
    Map<String, AmazonDynamoDBLocal> databases =
        (Map<String, AmazonDynamoDBLocal>) get(LocalDynamoDBRequestHandler.class, primary, "dbRequestHandlers");
    HttpServer admin = HttpServer.create(new InetSocketAddress("127.0.0.1", port), 0);
    admin.createContext("/", exchange -> {
      int code = 200;
      String answer = "ok";
      String path = exchange.getRequestURI().getPath();
      try {
        for (AmazonDynamoDBLocal db : databases.values()) {
          if (path.equals("/rollover")) db.triggerShardRollovers();
          else if (path.startsWith("/dilate/")) db.dilateEventTimes(Long.parseLong(path.substring("/dilate/".length())));
          else throw new IllegalArgumentException("no such command: " + path);
        }
      } catch (Throwable t) {
        code = 500;
        answer = t.toString();
      }
      byte[] body = answer.getBytes();
      exchange.sendResponseHeaders(code, body.length);
      exchange.getResponseBody().write(body);
      exchange.close();
    });
    admin.start();
  }
}
